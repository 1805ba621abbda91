"""What is stored: decisions, feedback and used tokens, without a name or an id of a patient in clear."""
