// What the TypeScript compiler makes of a NestJS application with decorators, and its shutdown hooks enabled as its manual says.
require('reflect-metadata');
const { Controller, Get, Injectable, Module } = require('@nestjs/common');
const { NestFactory } = require('@nestjs/core');

const decorate = (decorators, target) => Reflect.decorate(decorators, target);
const decorateMethod = (decorators, target, key) =>
	Object.defineProperty(target, key, Reflect.decorate(decorators, target, key, Object.getOwnPropertyDescriptor(target, key)));

let Database = class Database {
	onApplicationShutdown(signal) {
		console.log(`closing the database after ${signal}`);
	}
};
Database = decorate([Injectable()], Database);

let AppController = class AppController {
	root() {
		return { pid: process.pid };
	}
	health() {
		return 'ok';
	}
};
decorateMethod([Get()], AppController.prototype, 'root');
decorateMethod([Get('healthz')], AppController.prototype, 'health');
AppController = decorate([Controller()], AppController);

let AppModule = class AppModule {};
AppModule = decorate([Module({ controllers: [AppController], providers: [Database] })], AppModule);

async function bootstrap() {
	const app = await NestFactory.create(AppModule);
	app.enableShutdownHooks();
	await app.listen(process.env.PORT);
}

bootstrap();
