"""What a layer connects: depth and path length, dependency maps, attention weights, and encodings of position."""
