"""Data sets of expressions, in the forms that people have them in, into the one folder that train.py reads.

archives.py   every file of a folder or an archive, as a stream
layouts.py    what a set is: labels, splits and people, told by names and small files
sets.py       the sets that preprocess.py knows
fer2013.py    FER2013's csv, and FER+'s votes on it
parquet.py    the same as Hugging Face serves it
dividing.py   people into the names, and train and val where there are none
people.py     who is in a picture, and how people are kept apart
source.py     a set's pictures, labelled
writing.py    the dataset folder, written whole or not at all
"""
