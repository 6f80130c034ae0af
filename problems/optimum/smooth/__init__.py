"""Certificates of smooth losses: logistic and multinomial logistic."""
