"""What engines share: devices, the ladder of sizes, guided upsampling, OpenVINO's requests, what errors mean."""
