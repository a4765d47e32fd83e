"""Rendering with Blender processes: plan, jobs, pool, workers."""
