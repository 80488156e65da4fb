"""Ways of finding faces, a file each. A new one is one new file with a class `Finder` (see `detector.Finder`)."""
