"""Facts about the machine: its host, its conditions while it measures, and what it does at best."""
