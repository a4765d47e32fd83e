"""Runs inside Blender: standard library, numpy and bpy only."""
