"""What a tagger learns: losses and the named objectives of a recipe."""
