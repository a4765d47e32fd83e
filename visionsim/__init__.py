"""Computer-vision datasets with exact ground truth, rendered from Blender scenes.

Blender itself imports this package to run the worker, so nothing heavy is imported here.
"""

__version__ = "0.1.0"

__all__ = ["__version__"]
