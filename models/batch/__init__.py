"""Labelling pictures by the thousand: what demo_image_batch.py is made of.

sources.py   which pictures: folders, names, patterns, a list (lists.py); what of a folder is none (passed_over.py)
worker.py    what a process does with a picture: reads it, finds its faces, draws its annotated copy
pool.py      those processes, and what becomes of a picture that kills one
pipeline.py  pictures → processes → the network, many pictures' faces at a time → records, in order
ranks.py     several such pipelines, started by torchrun, for one folder
journal.py   what is done, kept so that a run killed at any moment goes on
run.py       whose the files in the output folder are, and so what may be replaced
earlier.py   what an earlier run left there that does not hold any more, and how it is taken away
results.py   journal → table and report, as tables.py and report.py write them
naming.py    a column and a folder for each class, whatever it is called
"""
