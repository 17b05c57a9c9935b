"""What is wrong, left over, or to be told the other engine. No number depends on it."""
