"""Expressions in moving pictures: what demo_camera.py is made of.

    sources.py    a camera, video file or stream → frames; a thread that keeps the newest one
    analysis.py   a frame → faces and probabilities; a thread that works on the newest frame
    tracking.py   faces from analysis to analysis: which is which, where it moves, what it expresses over time
    overlay.py    what is drawn into a frame
    window.py     the window and its keys
    recording.py  the annotated video, the log, the pictures of a moment
    timeline.py   a log → a plot of expressions over time
    session.py    a run, and the annotation of a film, where every frame counts
    view.py       the live view, where the newest frame counts

Frames are BGR, as OpenCV reads, shows and records them; RGB is made where a face is looked at or a picture saved.
"""
