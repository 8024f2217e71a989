resource "aws_eip" "service" {
  domain = "vpc"

  # Who holds it is Tideover's to say, so there is no aws_eip_association here and the holder is ignored below:
  # after a failover, an apply would take the address back to the old primary.
  lifecycle {
    ignore_changes = [instance, network_interface, associate_with_private_ip]
  }

  tags = { Name = var.service }
}

resource "aws_route53_zone" "this" {
  name = var.zone_name

  vpc {
    vpc_id = aws_vpc.this.id
  }
}

resource "aws_route53_record" "database" {
  zone_id = aws_route53_zone.this.zone_id
  name    = "db.${var.zone_name}"
  type    = "A"
  ttl     = var.record_ttl
  records = [var.sites[var.primary].address]

  # What it answers is Tideover's to say, from the first failover on.
  lifecycle {
    ignore_changes = [records, ttl]
  }
}
