"""Fitting and judging: knows tables only, never torch.

``model`` fits curves to observations · ``verdict`` judges claims by them · ``predict`` forecasts and finds crossovers ·
``compare`` sets one run beside another.
"""
