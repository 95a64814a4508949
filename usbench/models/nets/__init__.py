"""The segmentation nets of the published tables, each with the parameter count that its paper states.

A net is called with `classes`, how many planes of logits it gives (10 for nine classes that exclude each other), and,
where it takes it, `size`, the (height, width) px of its images. It takes (B, 3, h, w) and gives (B, classes, h, w); in
training it may give a tuple, the logits of its auxiliary heads after its own.
"""
