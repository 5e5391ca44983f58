-- Does nothing: what a run costs by itself.
runbook { title = "Empty", alert = "None", severity = "info", condition = "never", impact = "none" }
return resolved "there is nothing to do"
