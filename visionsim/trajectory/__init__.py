"""Camera paths as numbers: the file, splines through its poses, statistics, and the formats of other programs."""
