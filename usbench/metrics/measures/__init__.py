"""Clinical measurements of masks and landmarks: ellipses, diameters, bands, lengths and angles.

Pure functions of arrays, and how well predicted measurements agree with true ones. Knows no files.
"""
