"""Reading and writing files of pixels."""
