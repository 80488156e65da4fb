"""Labelling pictures by the thousand: what demo_image_batch.py is made of.

sources.py   which pictures: folders, names, patterns, a list
worker.py    what a process does with a picture: reads it, finds its faces, draws its annotated copy
pool.py      those processes, and what becomes of a picture that kills one
pipeline.py  pictures → processes → the network, many pictures' faces at a time → records, in order
ranks.py     several such pipelines, started by torchrun, for one folder
journal.py   what is done, kept so that a run killed at any moment goes on
run.py       whose the files in the output folder are, and so what may be replaced
results.py   journal → table and report, as tables.py and report.py write them
"""
