"""Does it hold on our data: a paired comparison, shifted data, stressed inputs.

The decision hidden here: what counts as evidence. Records and statistics need no torch;
what runs models is loaded on first use.
"""
