"""What is kept: decisions, feedback and seen tokens, without a name or an id of a patient in clear."""
