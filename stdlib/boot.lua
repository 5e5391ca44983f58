-- boot
return {}
