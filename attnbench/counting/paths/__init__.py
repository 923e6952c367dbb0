"""Path lengths: hops, dependency maps and effective reach, seen by executing a layer on small real tensors."""
