data "aws_ami" "debian" {
  most_recent = true
  owners      = ["136693071363"] # Debian, https://wiki.debian.org/Cloud/AmazonEC2Image

  filter {
    name   = "name"
    values = ["debian-12-amd64-*"]
  }
}

resource "aws_instance" "database" {
  for_each = var.sites

  ami                    = data.aws_ami.debian.id
  instance_type          = var.instance_type
  subnet_id              = aws_subnet.site[each.key].id
  private_ip             = each.value.address
  vpc_security_group_ids = [aws_security_group.database.id]
  iam_instance_profile   = aws_iam_instance_profile.database.name
  user_data              = file("${path.module}/database.cloud-init.yaml")

  # Fencing is StopInstances: it must be allowed, and a machine that is shut down from inside must stay, not vanish.
  disable_api_stop                     = false
  disable_api_termination              = true
  instance_initiated_shutdown_behavior = "stop"

  # Nobody but Tideover brings an old primary back, on whatever hardware.
  maintenance_options {
    auto_recovery = "disabled"
  }

  metadata_options {
    http_tokens = "required"
  }

  root_block_device {
    volume_size           = var.volume_size
    volume_type           = "gp3"
    encrypted             = true
    delete_on_termination = false
  }

  # The runbook checks this name before anything is done to the instance (`name_tag:`).
  tags = { Name = "${var.service}-${each.key}" }

  lifecycle {
    # A newer image or boot script would replace a database.
    ignore_changes = [ami, user_data]
  }
}
