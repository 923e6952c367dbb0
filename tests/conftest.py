"""What pytest must know of this folder."""

#: A package of its own, with a test that runs where it is installed: tests/test_example_plugin.py does that.
collect_ignore = ["example_plugin"]
