"""What the experiment says, in the terminal. Reads files under reports/, writes none."""
