"""Explore: what a smaller model gains and costs, before and after it is measured."""

from osscar_core.studio import explore
from osscar_core.studio.frame import boundary, frame

frame("explore")
with boundary():
    explore.show()
