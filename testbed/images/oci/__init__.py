"""OCI images made and pushed with nothing but Python's standard library.

`layer` packs files into a layer, `layout` writes images as OCI image layouts, `registry` pushes them.
"""
