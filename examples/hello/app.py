from penstock import App, Context, Event


class Hello(Event, key="name"):
    name: str


app = App("hello")


@app.agent
async def greeter(hello: Hello, ctx: Context) -> str:
    met = await ctx.values.get("met", 0) + 1
    await ctx.values.set("met", met)
    return f"Hello {hello.name}, we have met {met} times."
