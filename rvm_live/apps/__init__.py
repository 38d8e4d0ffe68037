"""What a user asks for as a whole: settings in, a result out, nothing printed. Imports every room but the command line.

::

    from rvm_live.apps.calls import cut_out

    cut_out(image)  # (H, W, 4)
"""
