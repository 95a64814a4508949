"""The segmentation nets of the published tables, each with the parameter count of its paper.

A net is called with `classes`, how many planes of logits it gives (10 for nine exclusive classes),
and, where it has that argument, `size`, the (height, width) px of its images. It takes
(B, 3, h, w) and gives (B, classes, h, w); in training it may give a tuple, the logits of its
auxiliary heads after its own.
"""
