"""Doors to other people's libraries: their modules as layers, with random weights and nothing downloaded."""
