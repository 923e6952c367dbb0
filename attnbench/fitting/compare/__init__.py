"""Two runs beside each other: which trials, which laws and which rates changed."""
