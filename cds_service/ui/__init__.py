"""What a person looks at: the playground, the evidence view and the content pages, rendered without a build step."""
