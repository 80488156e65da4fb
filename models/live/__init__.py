"""Expressions in moving pictures: what demo_camera.py is made of.

    sources.py    what a source of frames is; a thread that keeps the newest frame
    opening.py    which source opens for a name
    cameras.py    cameras, through OpenCV
    films.py      video files and streams, through PyAV: pictures as a player shows them, at their own times
    clock.py      a film's time, where its own is missing or leaps
    sequences.py  numbered pictures, animated GIF and WebP
    analysis.py   a frame → faces and probabilities; a thread that works on the newest frame
    tracking.py   faces from analysis to analysis: which is which, where it moves, what it expresses over time
    overlay.py    what is drawn into a frame
    window.py     the window and its keys
    recording.py  the annotated video; sound.py: a film's sound on its way into it
    log.py        who was seen when; timeline.py: a log → a plot of expressions over time
    moments.py    the pictures of a moment that a person saves
    session.py    a run, and the annotation of a film, where every frame counts
    view.py       the live view, where the newest frame counts

Frames are BGR, as OpenCV reads, shows and records them; RGB is made where a face is looked at or a picture saved.
"""
