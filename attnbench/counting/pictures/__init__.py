"""What a layer does with positions, seen on random tokens: attention weights, and what a read-out still knows."""
