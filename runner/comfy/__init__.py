"""One ComfyUI server: what it says, how it is asked, and one attempt on it from upload to end.

protocol     frames, queue, history → plain facts (pure)
verdict      history entry or refusal → files or Fault (pure)
object_info  what a server offers, what a batch misses there (pure)
credentials  addresses and what opens the door
client       HTTP; the only module that knows httpx
listener     the socket; the only module that knows websockets
server       follows prompts: poll, socket, settle time, outages
course       one attempt: upload → POST → follow → judge → collect
sniff boxes  what a downloaded file really is
"""
