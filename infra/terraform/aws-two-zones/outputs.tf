output "sites" {
  description = "What goes under `at:` of the database in the runbook."
  value = {
    for site, instance in aws_instance.database :
    site => { host = instance.private_ip, machine = instance.id, name_tag = instance.tags.Name }
  }
}

output "allocation" {
  description = "The address component's `allocation:`."
  value       = aws_eip.service.allocation_id
}

output "hosted_zone" {
  description = "The name component's `hosted_zone:`, needed where another zone has the same name."
  value       = aws_route53_zone.this.zone_id
}

output "first_association" {
  description = "Run once, before the first failover: from then on Tideover moves the address."
  value       = "aws ec2 associate-address --region ${var.region} --allocation-id ${aws_eip.service.allocation_id} --instance-id ${aws_instance.database[var.primary].id} --no-allow-reassociation"
}

output "worker_instance_profile" {
  description = "For a Tideover worker on EC2. Run at least one outside of both zones."
  value       = aws_iam_instance_profile.worker.name
}

output "worker_policy" {
  description = "For a Tideover worker elsewhere."
  value       = aws_iam_policy.worker.arn
}

output "worker_security_group" {
  description = "The databases let in SSH and SQL from here."
  value       = aws_security_group.worker.id
}
