"""One module per kind of release: its folders and files, read, indexed and written exactly.

It must not know models, metrics or results. What only one release needs stands in `releases`.
"""
