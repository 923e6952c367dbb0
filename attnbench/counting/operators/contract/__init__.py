"""What a family of operators says of its members, and the words and rules that several families say it in."""
