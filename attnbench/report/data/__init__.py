"""What figures show, cut out of a run as small tables: no drawing and no wording here."""
