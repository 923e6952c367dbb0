"""What every figure is drawn with: panels, lines, colours, labels of points, and SVG."""
