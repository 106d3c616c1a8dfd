"""The services that Tasks call: what they are given, checked; what they answer, in AWS's shape; how they fail, in AWS's words."""
