"""The form of the chat."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django import forms

from .models import Message

if TYPE_CHECKING:
    Form = forms.ModelForm[Message]
else:
    Form = forms.ModelForm


class MessageForm(Form):
    class Meta:
        model = Message
        fields = ["text"]
