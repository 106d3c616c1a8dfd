"""JSONPath in Jayway's dialect, which Step Functions uses: `parse_path` once, then `Path.find` in any document."""
