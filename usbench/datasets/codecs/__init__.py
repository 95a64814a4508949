"""One annotation file ↔ one value: the syntax of single files, no folders and no splits.

Every codec checks what it reads, and writes whole files only (see `usbench.io.files`).
"""
