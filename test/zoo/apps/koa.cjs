const Koa = require('koa');

const app = new Koa();
app.use(async (context, next) => {
	await next();
	context.set('x-served-by', String(process.pid));
});
app.use((context) => {
	context.body = { pid: process.pid };
});
app.listen(Number(process.env.PORT));
