"""The sections of the page, one file a section, each from a run to the values of its template."""
