"""MRML nodes of the module: conversion of volumes, results, metrics, layouts, sample data and DICOM export."""
