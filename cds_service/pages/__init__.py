"""What a person looks at: the playground, the evidence view and the content pages, rendered here without a build step."""
